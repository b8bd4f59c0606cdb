/**
 * What the command line needs from the world around it, as one port: the arguments, the
 * terminal, the clock, and who runs it. `main.ts` gives the real one.
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
  /** About standard output: whether a person looks at it, and how wide it is in characters. */
  tty: boolean;
  columns: number;
  /** The terminal as a whole, where standard output is one. */
  screen?: {
    size(): { columns: number; rows: number };
    /** Puts these lines in the place of everything that it shows. */
    draw(lines: readonly string[]): void;
  };
  /** The last line of standard error, where that is a terminal: `null` wipes it. */
  bar?: { columns(): number; draw(line: string | null): void };
  /** Asks on the terminal; `null` if there is none to ask on. */
  ask(question: string): string | null;
  wallMs(): number;
  monoMs(): number;
  sleep(ms: number): Promise<void>;
  home: string;
  /** True for the superuser, whose state lies under /var/lib. */
  root: boolean;
  /** Says that the process goes on when nobody can take what it prints any more. */
  outlast?(): void;
};
