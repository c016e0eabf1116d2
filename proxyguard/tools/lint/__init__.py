"""What is well formed in rule files and yet is probably not meant: findings with a code, a place and a hint.

Works on a policy that loads without a problem. Each code has its line in `codes` and its page in docs/lints/.
"""
