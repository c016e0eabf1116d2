"""Why a request is decided as it is: a plain evaluation that keeps its trace."""
