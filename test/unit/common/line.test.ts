// Line against a plain array: whoever enters, leaves and is served, in any order.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Line, type Standing } from '../../../src/common/line.ts';

type Step = { do: 'enter' } | { do: 'shift' } | { do: 'leave'; pick: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('enter' as const) }),
  fc.record({ do: fc.constant('shift' as const) }),
  fc.record({ do: fc.constant('leave' as const), pick: fc.nat() }),
);

test('is in the order of an array from which some are taken out', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const line = new Line<number>();
      const model: number[] = [];
      const places: Standing<number>[] = [];
      for (const each of steps) {
        if (each.do === 'enter') {
          model.push(places.length);
          places.push(line.enter(places.length));
        } else if (each.do === 'shift') {
          expect(line.shift()).toBe(model.shift());
        } else if (places.length > 0) {
          const place = places[each.pick % places.length]!;
          line.leave(place); // also one that has left
          const at = model.indexOf(place.value);
          if (at >= 0) model.splice(at, 1);
        }
        expect([line.length, line.first]).toEqual([model.length, model[0]]);
      }
      expect(Array.from({ length: model.length }, () => line.shift())).toEqual(model);
    }),
  );
});
