/** The kinds of errors: those of Segship in every language. */
export type ErrorCode =
  | "SEGSHIP_INPUT_ERROR"
  | "SEGSHIP_SIZE_ERROR"
  | "SEGSHIP_PACKAGE_ERROR"
  | "SEGSHIP_BACKEND_ERROR"
  | "SEGSHIP_MISSING_ERROR"
  | "SEGSHIP_UNSUPPORTED_ERROR"
  | "SEGSHIP_MEMORY_ERROR"
  | "SEGSHIP_INTERNAL_ERROR";

/** In the order of the numbers in segship.h, from 1 on. */
export const CODES: readonly ErrorCode[] = [
  "SEGSHIP_INPUT_ERROR",
  "SEGSHIP_SIZE_ERROR",
  "SEGSHIP_PACKAGE_ERROR",
  "SEGSHIP_BACKEND_ERROR",
  "SEGSHIP_MISSING_ERROR",
  "SEGSHIP_UNSUPPORTED_ERROR",
  "SEGSHIP_MEMORY_ERROR",
  "SEGSHIP_INTERNAL_ERROR",
];

/** What went wrong, in one line: what was found, what was expected, what to do. */
export class SegshipError extends Error {
  override name = "SegshipError";

  constructor(
    /** The kind of error. */
    readonly code: ErrorCode,
    message: string,
  ) {
    super(message);
  }
}
