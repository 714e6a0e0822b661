"""demarche.numerique (formerly demarches-simplifiees): its dossiers as facts, and what the bus knows of them as an annotation."""
