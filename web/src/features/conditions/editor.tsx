import { useSpeech } from '../../i18n/language.ts';
import { Button } from '../../ui/button.tsx';
import { classes } from '../../ui/classes.ts';
import { Choices } from '../../ui/field.tsx';
import { Icon } from '../../ui/icons.tsx';
import { layout } from '../../ui/layout.tsx';
import { Combo, Select } from '../../ui/select.tsx';
import styles from './editor.module.css';
import { usePathChoices, useSegmentChoices } from './hints.tsx';
import { carriedValue, operandOf, operators, shownOf, testOf } from './operators.ts';
import {
  type Group,
  type Node,
  newElements,
  newGroup,
  newKey,
  newSegment,
  newTest,
  type TestNode,
  touched,
} from './tree.ts';
import { RemoveButton, ValueFields } from './value.tsx';

interface RowProps<N extends Node> {
  readonly node: N;
  readonly onChange: (next: Node | undefined) => void;
}

function PathField({ value, onChange }: { readonly value: string; readonly onChange: (path: string) => void }) {
  const { text } = useSpeech();
  return (
    <Combo
      label={text('editor.attribute')}
      isLabelHidden
      value={value}
      placeholder={text('editor.attribute')}
      items={usePathChoices(value)}
      onChange={(path) => {
        if (path !== value) onChange(path);
      }}
    />
  );
}

function TestRow({ node, onChange, hasPath }: RowProps<TestNode> & { readonly hasPath: boolean }) {
  const { text, plain } = useSpeech();
  const shown = shownOf(node);
  const isPattern = node.operator === '$regex';
  return (
    <div className={styles.test}>
      {hasPath ? (
        <PathField value={node.path} onChange={(path) => onChange(touched(node, { path }))} />
      ) : (
        <span className={layout.soft}>{text('words.element')}</span>
      )}
      <Select
        label={text('editor.operator')}
        isLabelHidden
        value={shown.operator}
        items={operators.map(([id, key]) => ({ id, text: plain(key) }))}
        onChange={(operator) =>
          onChange(touched(node, testOf({ operator, value: carriedValue(shown.value, operator) })))
        }
      />
      <div className={styles.value}>
        <ValueFields
          // Another kind of operand gets new fields.
          key={operandOf(shown.operator)}
          path={node.path}
          operand={operandOf(shown.operator)}
          value={shown.value}
          onChange={(value) => onChange(touched(node, testOf({ operator: shown.operator, value })))}
          isPattern={isPattern}
          isTime={shown.operator === '$before' || shown.operator === '$after'}
          anyCase={node.anyCase}
          onAnyCase={(anyCase) => onChange(touched(node, { anyCase }))}
        />
      </div>
      <RemoveButton label={text('editor.removeRow')} onPress={() => onChange(undefined)} />
    </div>
  );
}

function SegmentRow({ node, onChange }: RowProps<Extract<Node, { kind: 'segment' }>>) {
  const { text } = useSpeech();
  return (
    <div className={classes(styles.test, styles.segment)}>
      <Select
        label={text('editor.operator')}
        isLabelHidden
        value={node.isIn ? 'in' : 'out'}
        items={[
          { id: 'in', text: text('editor.inSegment') },
          { id: 'out', text: text('editor.notInSegment') },
        ]}
        onChange={(id) => onChange(touched(node, { isIn: id === 'in' }))}
      />
      <Combo
        label={text('editor.segment')}
        isLabelHidden
        value={node.slug}
        placeholder={text('editor.segment')}
        items={useSegmentChoices(node.slug)}
        onChange={(slug) => {
          if (slug !== node.slug) onChange(touched(node, { slug }));
        }}
      />
      <RemoveButton label={text('editor.removeRow')} onPress={() => onChange(undefined)} />
    </div>
  );
}

function RawRow({ node, onChange }: RowProps<Extract<Node, { kind: 'raw' }>>) {
  const { text } = useSpeech();
  return (
    <div className={styles.raw}>
      <div>
        <pre>{JSON.stringify(node.source, null, 2)}</pre>
        <p className={classes(layout.soft, layout.small)}>{text('editor.raw')}</p>
      </div>
      <RemoveButton label={text('editor.removeRow')} onPress={() => onChange(undefined)} />
    </div>
  );
}

function ElementsRow({ node, onChange }: RowProps<Extract<Node, { kind: 'elements' }>>) {
  const { text } = useSpeech();
  const change = (of: readonly Node[]) => onChange(of.length === 0 ? undefined : touched(node, { of }));
  return (
    <div className={classes(styles.group, styles.nested)}>
      <div className={styles.groupHead}>
        <span>{text('editor.elementOf')}</span>
        <span className={styles.grow}>
          <PathField value={node.path} onChange={(path) => onChange(touched(node, { path }))} />
        </span>
        <RemoveButton label={text('editor.removeGroup')} onPress={() => onChange(undefined)} />
      </div>
      <NodeList of={node.of} onChange={change} hasPath={!node.asValues} />
      <div className={styles.add}>
        <Button isSmall look="quiet" onPress={() => change([...node.of, newTest()])}>
          <Icon name="plus" /> {text('editor.addTest')}
        </Button>
      </div>
    </div>
  );
}

function NodeRow({ node, onChange, hasPath }: RowProps<Node> & { readonly hasPath: boolean }) {
  switch (node.kind) {
    case 'test':
      return <TestRow node={node} onChange={onChange} hasPath={hasPath} />;
    case 'segment':
      return <SegmentRow node={node} onChange={onChange} />;
    case 'raw':
      return <RawRow node={node} onChange={onChange} />;
    case 'elements':
      return <ElementsRow node={node} onChange={onChange} />;
    case 'group':
      return <GroupBox group={node} onChange={onChange} isNested />;
  }
}

function NodeList(props: {
  readonly of: readonly Node[];
  readonly onChange: (of: readonly Node[]) => void;
  readonly hasPath?: boolean;
}) {
  return props.of.map((node) => (
    <NodeRow
      key={node.key}
      node={node}
      hasPath={props.hasPath ?? true}
      onChange={(next) => props.onChange(props.of.flatMap((other) => (other.key === node.key ? (next ?? []) : other)))}
    />
  ));
}

function GroupBox(props: {
  readonly group: Group;
  readonly onChange: (next: Group | undefined) => void;
  readonly isNested?: boolean;
}) {
  const { text } = useSpeech();
  const { group, onChange, isNested } = props;
  const change = (of: readonly Node[]) => {
    onChange(of.length === 0 && isNested ? undefined : touched(group, { of }));
  };
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset cannot be laid out as a box of a grid
    <div
      role="group"
      className={classes(styles.group, isNested && styles.nested)}
      aria-label={text(`editor.join.${group.join}`)}
    >
      <div className={styles.groupHead}>
        <Choices
          label={text('editor.join')}
          isLabelHidden
          isSmall
          value={group.join}
          onChange={(join) => onChange(touched(group, { join }))}
          items={[
            { id: 'all', text: text('editor.join.all') },
            { id: 'any', text: text('editor.join.any') },
            { id: 'none', text: text('editor.join.none') },
          ]}
        />
        <span className={styles.grow} />
        {isNested && <RemoveButton label={text('editor.removeGroup')} onPress={() => onChange(undefined)} />}
      </div>
      <NodeList of={group.of} onChange={change} />
      <div className={styles.add}>
        <Button isSmall onPress={() => change([...group.of, newTest()])}>
          <Icon name="plus" /> {text('editor.addTest')}
        </Button>
        <Button isSmall look="quiet" onPress={() => change([...group.of, newSegment()])}>
          {text('editor.addSegment')}
        </Button>
        <Button isSmall look="quiet" onPress={() => change([...group.of, newGroup()])}>
          {text('editor.addGroup')}
        </Button>
        <Button isSmall look="quiet" onPress={() => change([...group.of, newElements()])}>
          {text('editor.addElements')}
        </Button>
      </div>
    </div>
  );
}

/** The whole condition as rows and groups. */
export function ConditionEditor({
  tree,
  onChange,
}: {
  readonly tree: Group;
  readonly onChange: (tree: Group) => void;
}) {
  return (
    <GroupBox
      group={tree}
      onChange={(next) => onChange(next ?? { kind: 'group', key: newKey(), join: 'all', of: [] })}
    />
  );
}
