"""What a HorizontalPodAutoscaler would do, known before the bill comes."""
