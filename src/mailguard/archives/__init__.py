"""Archives of mail as byte ranges: what is taken apart comes together again byte for byte."""
