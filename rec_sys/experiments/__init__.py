"""What is measured rather than served: benchmark, report, cold start, ablation, scaling, latency. The top floor."""
