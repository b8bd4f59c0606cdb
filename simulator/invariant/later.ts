/**
 * I9 and I10 speak of pods and Node objects, which exist only with the Kubernetes mirror. Until its
 * calls are part of an observation these two hold vacuously, and say so in the list of checkers.
 */
import type { Checker } from "./observation.ts";

export const VACUOUS: ReadonlyMap<string, string> = new Map([
  ["I9", "no pods: there is no Kubernetes target yet"],
  ["I10", "no Node objects: there is no Kubernetes target yet"],
]);

export function atMostOnce(): Checker {
  return { id: "I9", look: () => [] };
}

export function nodeLast(): Checker {
  return { id: "I10", look: () => [] };
}
