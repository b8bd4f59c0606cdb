/**
 * Handles Ctrl-C during a remote run: the first stops the run in order, the second ends this
 * process at once.
 *
 * Adapter: signals of this process.
 */

/** Exit statuses: 128 + the signal's number. */
export const INTERRUPTS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
export type Interrupt = keyof typeof INTERRUPTS;

/** SIGHUP is left alone, or nohup would not work. */
const USUAL: readonly Interrupt[] = ["SIGINT", "SIGTERM"];

/** Also a closed terminal: for a command that leaves something billed behind. */
export const WITH_HANGUP: readonly Interrupt[] = [...USUAL, "SIGHUP"];

/** The returned function removes the handlers. `onAgain` is called just before the end. */
export function watchInterrupts(
  onInterrupt: (interrupt: Interrupt) => void,
  onAgain?: (interrupt: Interrupt) => void,
  names: readonly Interrupt[] = USUAL,
): () => void {
  let count = 0;
  const watched = names.map((name) => {
    const on = (): void => {
      count += 1;
      if (count > 1) {
        onAgain?.(name);
        process.exit(INTERRUPTS[name]);
      }
      onInterrupt(name);
    };
    process.on(name, on);
    return () => process.off(name, on);
  });
  return () => watched.forEach((end) => end());
}
