// Tversion: what is agreed, what is refused, and what a second one does to the session before it.

import { NOTAG, VERSION } from '../../wire/p9/constants.ts';
import { type Answer, show } from '../answers.ts';
import { Probe } from '../probe.ts';
import { fail, must, mustFail, mustRefuse, notApplicable, pass, READ_HEAD, type Rule, rulesOf } from '../rule.ts';
import { isFid, open, put } from '../steps.ts';

const rule = rulesOf('version(9P)');

/** Nobody knows it, and it is no prefix or suffix of what anybody does. */
const UNHEARD_OF = 'XP1999';
const OFFERS = [4096, 8192, 65536, 1024 * 1024 + 24, 0xffffffff] as const;
const TINY = 256;
const SMALL = 4096;

const isRaised = (answer: Answer, offer: number) => answer.type === 'Rversion' && answer.msize > offer;

export const versionRules: readonly Rule[] = [
  rule(
    'version-agreed',
    'raw',
    `Tversion ${VERSION.dotl} is answered with Rversion of that version`,
    async (probe, place) => {
      const answer = await probe.version(place.msize);
      return must(answer.type === 'Rversion' && answer.version === VERSION.dotl, answer);
    },
  ),

  rule('version-tag', 'raw', 'Rversion carries the tag of Tversion, NOTAG', async (probe, place) => {
    probe.send('Tversion', { msize: place.msize, version: VERSION.dotl }, NOTAG);
    await probe.wait(place.timeout, () => probe.heard.length > 0);
    const [first] = probe.heard;
    if (first === undefined) return fail(probe.over ? 'hung up' : 'no answer to Tversion');
    return must(first.tag === NOTAG, first, first.tag === NOTAG ? 'with NOTAG' : 'with another tag');
  }),

  rule(
    'version-msize',
    'raw',
    'any msize can be offered, and the one of Rversion is never above it',
    async (_, place) => {
      for (const offer of OFFERS) {
        const answer = await (await place.open('raw')).version(offer);
        if (isRaised(answer, offer)) return fail(`Rversion with an msize above the ${offer} that were offered`);
        if (answer.type !== 'Rversion') return fail(`${offer} offered: ${show(answer)}`);
      }
      return pass('Rversion with the msize offered, or less');
    },
  ),

  rule(
    'version-msize-tiny',
    'raw',
    `an offer of ${TINY} is agreed to as it is, or refused, never raised`,
    async (probe) => {
      const answer = await probe.version(TINY);
      if (answer.type !== 'Rversion') return mustRefuse(answer);
      return must(answer.msize <= TINY, `Rversion with msize ${answer.msize}`);
    },
  ),

  rule(
    'version-unknown',
    'raw',
    'a version that the server does not know is answered with Rversion "unknown"',
    async (probe, place) => {
      const answer = await probe.version(place.msize, UNHEARD_OF);
      return must(answer.type === 'Rversion' && answer.version === VERSION.unknown, answer);
    },
  ),

  rule(
    'version-unknown-session',
    'raw',
    'after Rversion "unknown" there is no session, and Tversion can be sent again',
    async (probe, place) => {
      const unknown = await probe.version(place.msize, UNHEARD_OF);
      if (unknown.type !== 'Rversion' || unknown.version !== VERSION.unknown) return notApplicable(unknown);
      const again = await probe.version(place.msize);
      if (again.type !== 'Rversion' || again.version !== VERSION.dotl) return fail('Tversion sent again:', again);
      const other = await place.open('raw');
      await other.version(place.msize, UNHEARD_OF);
      return mustRefuse(await other.attach(place.who));
    },
  ),

  rule(
    'version-suffix',
    'raw',
    'what follows a period names a variant: the answer is the version before it, or "unknown"',
    async (probe, place) => {
      const answer = await probe.version(place.msize, `${VERSION.dotl}.check`);
      const legal: readonly string[] = [VERSION.dotl, VERSION.legacy, VERSION.unknown];
      return must(answer.type === 'Rversion' && legal.includes(answer.version), answer);
    },
  ),

  rule('version-first', 'raw', 'nothing else is carried out before a version is agreed', async (probe, place) => {
    return mustRefuse(await probe.attach(place.who));
  }),

  rule(
    'version-again',
    'session',
    'a second Tversion begins a new session: the fids of the old one are gone',
    async (probe, place) => {
      const answer = await probe.version(place.msize);
      if (answer.type !== 'Rversion') return fail(answer);
      if (await isFid(probe, Probe.ROOT)) return fail('Rversion, and the fid of the old session is still one');
      const attached = await probe.attach(place.who);
      return must(attached.type === 'Rattach', 'Rversion, then for the old fid', attached);
    },
  ),

  rule('version-again-msize', 'home', 'a second Tversion can lower msize, and it is kept to', async (probe, place) => {
    const name = place.name();
    await put(probe, name, Buffer.alloc(2 * SMALL));
    await place.begin(probe, 'home', SMALL);
    const fid = await open(probe, Probe.HOME, name);
    const answer = await probe.ask('Tread', { fid, offset: 0, count: 2 * SMALL });
    if (answer.type !== 'Rread') return mustFail(answer);
    return must(answer.data.length <= SMALL - READ_HEAD, `Tread of ${2 * SMALL} bytes with msize ${SMALL}:`, answer);
  }),

  rule(
    'version-again-aborts',
    'session',
    'a second Tversion ends what is outstanding: Rversion is the last answer of the old session',
    async (probe, place) => {
      for (let i = 0; i < 50; i++) probe.send('Tgetattr', { fid: Probe.ROOT, mask: 0x7ff });
      const answer = await probe.version(place.msize);
      if (answer.type !== 'Rversion') return fail(answer);
      await probe.quiet();
      const at = probe.heard.findLastIndex(({ type }) => type === 'Rversion');
      const late = probe.heard.slice(at + 1);
      return must(late.length === 0, answer, ...(late[0] === undefined ? [] : ['then', late[0]]));
    },
  ),
];
