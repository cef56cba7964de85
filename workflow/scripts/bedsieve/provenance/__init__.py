"""What every file was made from: written beside the results by each job, checked again on demand."""
