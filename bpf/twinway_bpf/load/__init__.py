"""From BPF sources to loaded programs, open maps and their pins."""
