"""Apache's `.htaccess` and virtual hosts as rules: mod_rewrite, mod_setenvif, mod_authz, mod_access_compat, mod_evasive."""
