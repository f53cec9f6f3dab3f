"""What a person sees: text, HTML, figures, reports and cards."""
