"""Settings: declared once in ``settings``, read by ``sources``, understood by ``kinds``."""
