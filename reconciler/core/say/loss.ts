/** What shows that a machine is lost, or out of reach of its provider. */
import { type CodeOf, sayFrom } from "./code.ts";

/** The cloud's evidence that an instance is gone or stopped. */
export const LOSS = {
  instance_is: (p: { id: string; state: string }): string =>
    `the cloud reports instance ${p.id} as ${p.state}`,
  ended_by_others: (p: { id: string }): string => `instance ${p.id} is being ended by someone else`,
  not_listed: (p: { id: string }): string => `the cloud no longer lists instance ${p.id}`,
};
export type Loss = CodeOf<typeof LOSS>;
export const sayLoss = (loss: Loss): string => sayFrom(LOSS, loss);

type Moved = { provider: string; now: string; before: string };

/** Why a provider does not reach an account and region that it reached before. */
const UNREACHED = {
  unconfigured: (p: { provider: string }): string =>
    `provider ${p.provider} is not in the configuration`,
  other_type: (p: Moved): string =>
    `provider ${p.provider} is of type ${p.now} now, and no longer ${p.before}`,
  other_account: (p: Moved): string =>
    `provider ${p.provider} uses account ${p.now} now, and no longer ${p.before}`,
  other_region: (p: Moved): string =>
    `provider ${p.provider} works in ${p.now} now, and no longer in ${p.before}`,
};
export type Unreached = CodeOf<typeof UNREACHED>;
export const sayUnreached = (why: Unreached): string => sayFrom(UNREACHED, why);

/** `…: 3 nodes are held`, with what to do. */
export function sayStranded(why: Unreached, nodes: number): string {
  const held = nodes === 1 ? "1 node is held" : `${nodes} nodes are held`;
  return `${sayUnreached(why)}: ${held}, billed and not ended; ${STRANDED_REMEDY}`;
}

const STRANDED_REMEDY =
  "restore the provider as it was and reload, or end the machines at the cloud and " +
  "run `navarch forget` for each";
