"""Results -> figures: plotly, or ECharts options where people click. Knows nothing of streamlit."""
