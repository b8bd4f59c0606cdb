/** Time as a port (law 8): a `main.ts` opens the real clock; tests step their own. */
export type Clock = {
  /** Milliseconds since the epoch: for records. */
  wallMs(): number;
  /** Milliseconds from an arbitrary origin, never back: for every duration. */
  monoMs(): number;
  /** Runs `work` once after `ms`; the returned function cancels it. */
  after(ms: number, work: () => void): () => void;
};

/** One line of the process's own log. `fields` never hold a secret. */
export type Log = (
  level: "debug" | "info" | "warn" | "error",
  msg: string,
  fields?: Record<string, unknown>,
) => void;
