<?php
$page = $_GET['page'] ?? null;
echo "SEARCH ", is_array($page) ? implode(' ', array_map('intval', $page)) : intval($page) . ' ' . floatval($page) . ' ' . intval($page, 0);
