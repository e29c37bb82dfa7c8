"""Who really sent a message: SPF, DKIM, DMARC, ARC, the client, and the field that reports them."""
