"""Pages for people: a person follows a request, an agent works, who runs the bus sees where work stalls."""
