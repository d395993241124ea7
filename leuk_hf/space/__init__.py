"""The Gradio demo. Only this folder imports gradio."""
