<?php echo "SIGNUP ", $_SERVER['REQUEST_METHOD'];
