"""What is held of bodies so that a slow client does not hold one of the site's workers."""
