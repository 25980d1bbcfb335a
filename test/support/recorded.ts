// A transport that keeps what goes through it, as a capture of a conversation over TCP.

import type { Receiver, Transport } from '../../src/transport/transport.ts';
import { Pcap } from './pcap.ts';

/** One end of a conversation. */
export function recorded(inner: Transport, end: 'client' | 'server'): { transport: Transport; pcap: Pcap } {
  const pcap = new Pcap();
  const other = end === 'client' ? 'server' : 'client';
  const transport: Transport = {
    peer: inner.peer,
    closed: inner.closed,
    get onDrain() {
      return inner.onDrain;
    },
    set onDrain(drained) {
      inner.onDrain = drained;
    },
    start(receiver: Receiver) {
      let window = Buffer.alloc(0);
      inner.start({
        window() {
          window = receiver.window() as typeof window;
          return window;
        },
        filled(count) {
          pcap.add(other, window.subarray(0, count));
          receiver.filled(count);
        },
        push(chunk) {
          pcap.add(other, chunk);
          receiver.push(chunk);
        },
      });
    },
    send(head, payload, taken) {
      pcap.add(end, payload === undefined ? head : Buffer.concat([head, payload]));
      return inner.send(head, payload, taken);
    },
    pause: () => inner.pause(),
    resume: () => inner.resume(),
    close: (error) => inner.close(error),
  };
  return { transport, pcap };
}
