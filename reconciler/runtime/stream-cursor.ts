/**
 * The highest durable sequence number of each agent's streams, in memory. An agent may start many
 * streams, so each node has only the last written ones, as many as the store keeps.
 */
import type { NodeId, StreamId } from "../../schema/id.ts";
import type { Cursor } from "../core/store.ts";
import { STREAMS_KEPT } from "../store/trim.ts";

export class StreamCursors {
  private readonly byNode = new Map<NodeId, Map<StreamId, number>>();

  /** 0 = an unknown stream. */
  get(node: NodeId, stream: StreamId): number {
    return this.byNode.get(node)?.get(stream) ?? 0;
  }

  set({ node, stream, seq }: Cursor): void {
    const streams = this.byNode.get(node) ?? new Map<StreamId, number>();
    this.byNode.set(node, streams);
    // Deleted first, so that the map is ordered by the last write.
    streams.delete(stream);
    streams.set(stream, seq);
    for (const oldest of streams.keys()) {
      if (streams.size <= STREAMS_KEPT) break;
      streams.delete(oldest);
    }
  }

  /** Streams in memory. */
  get size(): number {
    let sum = 0;
    for (const streams of this.byNode.values()) sum += streams.size;
    return sum;
  }
}
