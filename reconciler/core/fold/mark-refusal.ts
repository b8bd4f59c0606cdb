/**
 * What is kept of a mark that the Kubernetes API server refuses, and when that is recorded: pure.
 */
import type { KubeFact } from "../../../schema/node.ts";

const MESSAGE_CHARS_MAX = 600;

export function refuseMark(kube: KubeFact, what: string, message: string, now: number): KubeFact {
  const { refusal } = kube;
  const since = refusal?.what === what ? refusal.since : now;
  const said = message.slice(0, MESSAGE_CHARS_MAX);
  return { ...kube, refusals: kube.refusals + 1, refusal: { what, message: said, since, at: now } };
}

/** A message with a time or a name in it changes with each try. */
const CHANGES_MAX = 32;

/** One that is refused for good is recorded ever more rarely, and at once if its reason changes. */
export function isNewRefusal(kube: KubeFact, what: string, message: string): boolean {
  const { refusals, refusal } = kube;
  const said = message.slice(0, MESSAGE_CHARS_MAX);
  const isOther = refusal?.what !== what || refusal.message !== said;
  return isPowerOfTwo(refusals + 1) || (isOther && refusals < CHANGES_MAX);
}

export const sayRefusal = ({ name }: KubeFact, what: string, message: string): string =>
  `Kubernetes does not ${what} Node ${name}: ${message}`;

function isPowerOfTwo(n: number): boolean {
  return (n & (n - 1)) === 0;
}
