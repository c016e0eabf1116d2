"""What an operator begins with: a commented set of files, and new rules written from three answers."""
