"""Compound files ([MS-CFB]): legacy Word, Excel and PowerPoint, MSI, Outlook."""
