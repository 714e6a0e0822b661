"""Files of old software: read from a folder or by SFTP, record by record; and brought back the same way."""
