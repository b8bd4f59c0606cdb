/**
 * Generated mutants that change nothing that anybody could observe, each with the reason. `key` is
 * what `--report` prints below a survivor: file, line and change, so an entry outlives edits around
 * it and dies with the line that it speaks of.
 */
export type Equivalent = { key: string; reason: string };

export const EQUIVALENT: readonly Equivalent[] = [];
