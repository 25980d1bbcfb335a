// A raw 9P client in a process of its own, which does what its parent says over the IPC channel (otheruser.ts).

import { parseAddress } from '../../src/transport/address.ts';
import { connectSocket } from '../../src/transport/socket.ts';
import type { Transport } from '../../src/transport/transport.ts';
import type { Body, RequestName } from '../../src/wire/p9/messages.ts';
import type { Asked, Told } from './otheruser.ts';
import { Raw9p, Refused } from './raw9p.ts';

const transport: Transport = await connectSocket(parseAddress(process.argv[2] ?? ''));
const raw = new Raw9p(transport);
const tell = (told: Told): void => void process.send?.(told);

const answer = async ({ id, name, body }: Asked): Promise<Told> => {
  try {
    if (name === 'Tversion') {
      const { msize, version } = body as Body<'Tversion'>;
      return { id, reply: await raw.version(msize, version) };
    }
    return { id, reply: await raw.call(name as RequestName, body as Body<RequestName>) };
  } catch (error) {
    if (error instanceof Refused) return { id, ecode: error.ecode };
    return { id, failed: (error as Error).message };
  }
};
process.on('message', (asked: Asked) => void answer(asked).then(tell));
process.on('disconnect', () => transport.close());
tell({ id: 0, reply: {} });
