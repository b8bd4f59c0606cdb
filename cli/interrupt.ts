/**
 * Ctrl-C while something runs elsewhere: the first asks it to end in order, the second ends this
 * process at once.
 *
 * Adapter: signals of this process.
 */

/**
 * As a shell tells them: 128 and the signal's number. SIGHUP is not among them: whoever wants to
 * outlive the terminal (nohup) has it ignored, and watching it would undo that.
 */
export const INTERRUPTS = { SIGINT: 130, SIGTERM: 143 } as const;
export type Interrupt = keyof typeof INTERRUPTS;

/** The returned function puts everything back. */
export function watchInterrupts(told: (interrupt: Interrupt) => void): () => void {
  let count = 0;
  const names = Object.keys(INTERRUPTS) as Interrupt[];
  const watched = names.map((name) => {
    const on = (): void => {
      count += 1;
      if (count > 1) process.exit(INTERRUPTS[name]);
      told(name);
    };
    process.on(name, on);
    return () => process.off(name, on);
  });
  return () => watched.forEach((end) => end());
}
