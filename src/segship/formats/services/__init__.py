"""Folders and archives that other servers open: what their configuration files say."""
