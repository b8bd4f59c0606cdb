/** Counts the calls of a provider, so that a replaced one is closed after its last call. */
import type { Provider } from "../core/provider.ts";
import { aroundProvider } from "./around.ts";

export type Tracked = {
  provider: Provider;
  /** Resolves when no call is in flight. */
  idle(): Promise<void>;
};

export function trackCalls(given: Provider): Tracked {
  let inFlight = 0;
  const waiting: (() => void)[] = [];
  const provider = aroundProvider(given, async (_call, next) => {
    inFlight += 1;
    try {
      return await next();
    } finally {
      inFlight -= 1;
      if (inFlight === 0) for (const done of waiting.splice(0)) done();
    }
  });
  const idle = async (): Promise<void> => {
    if (inFlight > 0) await new Promise<void>((resolve) => void waiting.push(resolve));
  };
  return { provider, idle };
}
