/**
 * The port of the command line: arguments, terminal, clock and user. `main.ts` has the real one.
 */
export type World = {
  /** The name that the program was started under, without folders. */
  program: string;
  /** Arguments without the program's own name. */
  argv: readonly string[];
  env: Readonly<Record<string, string | undefined>>;
  /** Data. */
  out(text: string): void;
  /** Everything that is not data, whole lines. */
  err(text: string): void;
  /** Standard output is a terminal, `columns` wide. */
  tty: boolean;
  columns: number;
  /** The whole terminal, if standard output is one. */
  screen?: {
    size(): { columns: number; rows: number };
    /** Replaces the screen by these lines. */
    draw(lines: readonly string[]): void;
  };
  /** The last line of standard error, if that is a terminal; `null` clears it. */
  bar?: { columns(): number; draw(line: string | null): void };
  /** Asks on the terminal; `null` without one. */
  ask(question: string): string | null;
  wallMs(): number;
  monoMs(): number;
  sleep(ms: number): Promise<void>;
  home: string;
  /** True for the superuser, whose state lies under /var/lib. */
  root: boolean;
  /** Keeps the process alive when its output is closed. */
  outlast?(): void;
};
