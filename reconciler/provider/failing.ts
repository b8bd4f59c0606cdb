/**
 * Lets the calls of a simulated provider fail as real clouds do. Wrapped around simulated providers
 * only, so no call of a real one can be broken on purpose.
 */
import type { ProviderFailure } from "../../schema/provider-failure.ts";
import { unreachable } from "../../schema/unreachable.ts";
import type { Clock } from "../core/clock.ts";
import type { Provider } from "../core/provider.ts";
import { pause } from "../core/turn/time-limit.ts";
import { aroundProvider, type ProviderAnswer, type ProviderCall } from "./around.ts";

/** `take` is asked once a call. */
export function failing(
  provider: Provider,
  clock: Pick<Clock, "after">,
  take: (op: ProviderCall["op"]) => ProviderFailure | null,
): Provider {
  return aroundProvider(
    provider,
    async <A extends ProviderAnswer>({ op }: ProviderCall, next: () => Promise<A>): Promise<A> => {
      const failure = take(op);
      if (failure === null) return next();
      const instead = insteadOf(op, failure);
      // `insteadOf` answers each operation in that operation's own union.
      if (instead !== null) return instead as A;
      const answer = await next();
      if (failure.class === "slow") {
        await pause(clock, failure.delayMs);
        return answer;
      }
      return { kind: "ambiguous", message: "the reply was lost by injection" } as A;
    },
  );
}

/** The answer to a call that does not reach the provider; `null` = it reaches it. */
function insteadOf(op: ProviderCall["op"], { class: cls }: ProviderFailure): ProviderAnswer | null {
  const changes = op === "create" || op === "terminate" || op === "reboot";
  switch (cls) {
    case "capacity":
      return refused(cls, "no capacity by injection");
    case "rate_limit":
    case "auth": {
      const message = `${cls} by injection`;
      return changes ? refused(cls, message) : { kind: "failed", class: cls, message };
    }
    case "outage": {
      const message = "the provider does not answer, by injection";
      return changes
        ? { kind: "ambiguous", message }
        : { kind: "failed", class: "unavailable", message };
    }
    case "lost_reply":
    case "slow":
      return null;
    default:
      return unreachable(cls);
  }
}

const refused = (cls: "capacity" | "rate_limit" | "auth", message: string): ProviderAnswer => {
  return { kind: "refused", class: cls, message, retryAfterMs: null };
};
