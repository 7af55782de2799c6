"""The page of the stage `validate`; apart, so that neither it nor `report` reruns the other."""
