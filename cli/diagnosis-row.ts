/** One finding of `doctor`: a line of its table. Pure. */

export type Diagnosis = {
  check: string;
  outcome: "ok" | "warn" | "fail";
  message: string;
  /** What to do; `null` if nothing needs doing. */
  advice: string | null;
};

export const ok = (check: string, message: string): Diagnosis => ({
  check,
  outcome: "ok",
  message,
  advice: null,
});
export const bad = (
  outcome: "warn" | "fail",
  check: string,
  message: string,
  advice: string | null,
): Diagnosis => ({
  check,
  outcome,
  message,
  advice,
});
