"""How a report looks: charts, pictures and statistics on one page that needs no other file."""
