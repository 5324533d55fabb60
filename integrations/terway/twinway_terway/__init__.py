"""The link in the CNI chain: the plugin, and its installer behind Terway."""
