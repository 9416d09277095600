"""The source of networks trained with MMSegmentation."""
