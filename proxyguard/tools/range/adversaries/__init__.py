"""The adversaries: those who take what they are not given. One module each; `registry` lists them."""
