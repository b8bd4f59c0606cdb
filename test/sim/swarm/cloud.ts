/** The cloud of a simulated fleet, as fast and with the promises that its shape says. */
import type { Clock } from "../../../reconciler/core/clock.ts";
import type { Provider } from "../../../reconciler/core/provider.ts";
import type { Entry } from "../../../reconciler/provider/fake/entry.ts";
import * as memory from "../../../reconciler/provider/fake/memory.ts";
import type { Shape } from "./shape.ts";
import { openStream } from "./stream.ts";

export type Cloud = Provider & memory.FakeControl & memory.Forkable;

export function openCloud(
  { seed, class: cls, settleMs, bootMs, terminateMs }: Shape,
  own: { clock: Clock; fleetId: string; onEntry: (entry: Entry) => void },
): Cloud {
  const random = openStream(seed, "cloud");
  return memory.openMemoryCloud({
    ...own,
    random: () => random.next(),
    class: cls,
    settleMs,
    terms: { bootMs, terminateMs, retentionMs: 600_000, pricePerHour: 2 },
    record: false,
  });
}
