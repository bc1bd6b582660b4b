"""What a script may import is there behind the lock, and what everybody uses of it works."""

import pytest

from penstock_guest import profiles
from tests.trying import errors_of, records_of, result_of

EVERYDAY = {
    "std": """
        datetime.datetime.strptime('2020-01-02', '%Y-%m-%d')
        time.strptime('2020', '%Y')
        time.strftime('%A', time.gmtime(0))
        datetime.datetime.now().astimezone()
        datetime.datetime.fromisoformat('2020-01-01T00:00:00Z')
        zoneinfo.ZoneInfo('America/Sao_Paulo').utcoffset(datetime.datetime(2020, 1, 1))
        zoneinfo.ZoneInfo('UTC')
        'Europe/Berlin' in zoneinfo.available_timezones() or 1 / 0
        'é'.encode('utf-8-sig').decode('utf-8-sig')
        'é'.encode('cp1252').decode('cp1252')
        'é'.encode('latin-1').decode('iso-8859-1')
        'é'.encode('iso-8859-15')
        'é'.encode('utf-16').decode('utf-16')
        'é'.encode('utf-32')
        'é'.encode('idna')
        'é'.encode('punycode')
        b'x'.decode('shift_jis') + b'x'.decode('gbk') + b'x'.decode('gb18030') + b'x'.decode('big5')
        b'x'.decode('cp437') + b'x'.decode('cp850') + b'x'.decode('mac_roman')
        b'x'.decode('unicode_escape')
        uuid.uuid4()
        uuid.uuid5(uuid.NAMESPACE_DNS, 'x')
        hashlib.sha256(b'x').hexdigest() + hashlib.new('md5', b'x').hexdigest() + hashlib.blake2b(b'x').hexdigest()
        hashlib.pbkdf2_hmac('sha256', b'x', b'y', 10)
        hmac.new(b'k', b'm', 'sha256').hexdigest()
        random.gauss(0, 1) + random.choice([1]) + random.sample(range(9), 3)[0]
        statistics.NormalDist().cdf(1) + statistics.median([1])
        decimal.Decimal('1.10').quantize(decimal.Decimal('0.1'))
        fractions.Fraction('1/3')
        list(csv.DictReader(['a,b', '1,2']))
        csv.Sniffer().sniff('a;b')
        html.unescape('&amp;')
        html.parser.HTMLParser().feed('<a>')
        string.Template('$x').substitute(x=1)
        textwrap.fill('x ' * 99)
        re.sub('A', 'b', 'a', flags=re.I)
        unicodedata.normalize('NFKD', 'é')
        urllib.parse.urlparse('https://a/b?c=d')
        urllib.parse.parse_qs('a=b')
        calendar.month(2020, 1)
        json.dumps({'a': 1}, indent=2)
        zlib.decompress(zlib.compress(b'x'))
        base64.b64decode('eA==')
        list(difflib.unified_diff(['a'], ['b']))
        copy.deepcopy({'a': [1]})
        dataclasses.make_dataclass('D', ['x'])(1)
        enum.Enum('E', 'a b')
        typing.NamedTuple('N', [('a', int)])
        functools.lru_cache(len)('a')
        heapq.nlargest(2, [1, 2, 3])
        io.TextIOWrapper(io.BytesIO(b'x')).read()
        struct.pack('<I', 1)
        array.array('d', [1])
        list(itertools.pairwise([1, 2]))
        operator.itemgetter(1)([1, 2])
        bisect.bisect([1, 2], 1)
        math.dist([0], [1]) + cmath.phase(1)
        time.sleep(0)
    """,
    "arrow": """
        numpy.array([1, 2]).mean() + numpy.median([1]) + numpy.percentile([1, 2], 50)
        numpy.fft.fft([1, 2, 3])
        numpy.linalg.inv([[1, 2], [3, 4]])
        numpy.polynomial.Polynomial([1, 2])(3)
        numpy.char.upper(['a'])
        numpy.ma.array([1])
        numpy.random.default_rng(3).normal(size=3)
        numpy.rec.array([(1, 2)])
        numpy.ones((300, 300)) @ numpy.ones((300, 300))
        numpy.datetime64('2020-01-01')
        repr(numpy.arange(2_000))
        table.group_by('s').aggregate([('a', 'sum')])
        table.join(table, 'a')
        table.filter(pyarrow.compute.field('a') > 1)
        table.filter(pyarrow.compute.greater(table['a'], 1))
        table.sort_by('a')
        table.take([0])
        pyarrow.concat_tables([table, table])
        pyarrow.Table.from_pylist([{'a': 1}])
        pyarrow.compute.utf8_upper(table['s'])
        pyarrow.compute.strptime(pyarrow.array(['2020']), format='%Y', unit='s')
        pyarrow.compute.strftime(pyarrow.array([1], 'timestamp[s]'))
        pyarrow.compute.assume_timezone(pyarrow.array([1], 'timestamp[s]'), 'America/Sao_Paulo')
        pyarrow.compute.value_counts(table['s'])
        pyarrow.array(numpy.arange(3)).to_numpy()
        pyarrow.types.is_integer(table['a'].type) or 1 / 0
        repr(table)
    """,
}


@pytest.mark.parametrize("profile", ["std", "arrow"])
def test_everything_that_is_allowed_can_be_imported(sandbox, profile):
    imports = "\n".join(f"    import {name}" for name in profiles.ALLOWED[profile] if name != "__future__")
    source = f"from __future__ import annotations\ndef process(data):\n{imports}\n    return data"
    assert errors_of(result_of(sandbox, source, profile=profile)) == []


@pytest.mark.parametrize("profile", ["std", "arrow"])
def test_what_everybody_uses_works_behind_the_lock(sandbox, profile):
    """Python imports some of it late, and some wants files, threads or time zones; one line a record."""
    imports = "\n".join(f"import {name}" for name in profiles.ALLOWED[profile] if name != "__future__")
    table = "table = pyarrow.table({'a': [1, 2], 's': ['x', 'y']})" if profile == "arrow" else ""
    source = f"{imports}\n{table}\ndef process(data):\n    eval(data['line'])"
    lines = [line.strip() for line in EVERYDAY[profile].strip().splitlines()]
    result = result_of(sandbox, source, [{"line": line} for line in lines], profile=profile, wall_s=20)
    assert errors_of(result) == []
    assert result.dropped == len(lines)


def test_no_numpy_attribute_is_missing_that_a_script_would_look_for(sandbox):
    """Numpy loads parts of itself when they are first asked for, which the lock forbids."""
    source = """
        import numpy
        def process(data):
            missing = []
            for name in dir(numpy):
                try: getattr(numpy, name)
                except ImportError: missing.append(name)
            return {"missing": missing}
    """
    [record] = records_of(result_of(sandbox, source, profile="arrow"))
    assert record["missing"] == ["core", "ctypeslib", "f2py", "testing", "typing"]
