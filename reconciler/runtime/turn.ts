/**
 * One turn of the event loop, for work that is done in pieces: between two of them the process
 * serves what has arrived. Adapter: the event loop.
 *
 * In Bun 1.4 an immediate that a timer or a socket's callback sets runs before sockets are looked
 * at again; one that an immediate sets runs after it (seen with strace). So it takes two.
 */
export async function nextTurn(): Promise<void> {
  for (let i = 0; i < 2; i++) await new Promise<void>((resolve) => void setImmediate(resolve));
}
