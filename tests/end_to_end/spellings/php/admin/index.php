<?php echo "ADMIN";
