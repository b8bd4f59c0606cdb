/** Task `Pause`: waits for a line on standard input. */
import type { TaskType } from "../task.ts";

export const pause: TaskType = {
  name: "Pause",
  isPrefixed: true,
  read() {
    return (run) => run.pause("-> Press 'Return' key to continue.");
  },
};
