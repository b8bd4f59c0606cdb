/**
 * One turn of the event loop: between two pieces of work the process serves what has arrived.
 * Adapter: the event loop.
 *
 * In Bun 1.4 an immediate that a timer or socket callback sets runs before sockets are polled
 * again; one that an immediate sets runs after it (observed with strace). So it takes two.
 */
export async function nextTurn(): Promise<void> {
  for (let i = 0; i < 2; i++) await new Promise<void>((resolve) => void setImmediate(resolve));
}
