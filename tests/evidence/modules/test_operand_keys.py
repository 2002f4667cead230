from oopsight.evidence.modules.operand_keys import entry_key


def test_the_key_of_a_pointer_in_an_entry_is_its_displacement() -> None:
    assert entry_key("qword ptr [rdx + rax*4 - 8]") == (1 << 64) - 8
    assert entry_key("qword ptr [rdx + rax]") == 0
    for other in ("qword ptr [rsp + rax + 8]", "dword ptr [rdx + rax + 8]", "qword ptr [rdx + 8]"):
        assert entry_key(other) is None
