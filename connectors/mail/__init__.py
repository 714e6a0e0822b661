"""Mail to bodies that have no software: something was handed to them, and by when it is due."""
